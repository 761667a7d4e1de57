-- Ends an entry without a result.
--   ARGV     id, token, now in ms, the reason, the stack traces as JSON, attempts at most, the rule of
--            parts/finish.lua
--   answers  done | refused, code

local id, token, now, reason, stacktrace = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local attempts, rule = tonumber(ARGV[6]), rule_of(7)
local key = base .. id

local hash = redis.call("HMGET", key, "atm", "attemptsMade", "deid", "parentKey", "parent", "defa", "ats")
local code = release(id, token, hash[7])
if code ~= 0 then return { "refused", code } end

local queue = queue_at(base)
release_deduplication(queue, id, hash[3], now)
child_failed(parent_of(hash[4], hash[5]), key, reason, now)
local made = count_attempt(key, hash[1], hash[2])
if hash[6] then redis.call("HDEL", key, "defa") end
keep("failed", id, now, rule, "atm", made, "failedReason", reason, "stacktrace", stacktrace)
emit(queue, "failed", "jobId", id, "failedReason", reason, "prev", "active")
if made >= attempts then emit(queue, "retries-exhausted", "jobId", id, "attemptsMade", made) end
signal_end(queue, now)
return { "done" }
