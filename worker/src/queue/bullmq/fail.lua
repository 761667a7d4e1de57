-- Ends an entry without a result.
--   ARGV     id, token, now in ms, the reason, the stack traces as JSON, attempts at most, and of the ended ones: how many
--            to keep (-1: all), how old in ms they may be (-1: any age), how many of the older ones go at once
--   answers  done | refused, code

local id, token, now, reason, stacktrace = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local attempts, count, age, limit = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local key = base .. id

local hash = redis.call("HMGET", key, "atm", "attemptsMade", "deid", "parentKey", "parent", "defa", "ats")
local code = release(id, token, hash[7])
if code ~= 0 then return { "refused", code } end

local queue = switches(base)
release_deduplication(queue, id, hash[3], now)
child_failed(parent_of(hash[4], hash[5]), key, reason, now)
local made = count_attempt(key, hash[1], hash[2])
if count == 0 then
  forget({ id })
else
  redis.call("HSET", key, "atm", made, "failedReason", reason, "stacktrace", stacktrace, "finishedOn", now)
  if hash[6] then redis.call("HDEL", key, "defa") end
  redis.call("ZADD", base .. "failed", now, id)
  trim(base .. "failed", now, count > 0 and count or nil, age >= 0 and age or nil, limit)
end
emit(queue, "failed", "jobId", id, "failedReason", reason, "prev", "active")
if made >= attempts then emit(queue, "retries-exhausted", "jobId", id, "attemptsMade", made) end
signal_end(queue, now)
return { "done" }
