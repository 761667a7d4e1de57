-- Ends an entry with a result.
--   ARGV     id, token, now in ms, the result as JSON, the rule of parts/finish.lua
--   answers  done | refused, code

local id, token, now, returnvalue, rule = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], rule_of(5)
local key = base .. id

local hash = redis.call("HMGET", key, "atm", "attemptsMade", "deid", "parentKey", "parent", "ats")
if redis.call("EXISTS", key .. ":dependencies", key .. ":unsuccessful") > 0 and redis.call("EXISTS", key) == 1 then
  return { "refused", redis.call("EXISTS", key .. ":dependencies") == 1 and -4 or -9 }
end
local code = release(id, token, hash[6])
if code ~= 0 then return { "refused", code } end

local queue = queue_at(base)
release_deduplication(queue, id, hash[3], now)
child_completed(parent_of(hash[4], hash[5]), key, returnvalue, now)
keep("completed", id, now, rule, "atm", count_attempt(key, hash[1], hash[2]), "returnvalue", returnvalue)
emit(queue, "completed", "jobId", id, "returnvalue", returnvalue, "prev", "active")
signal_end(queue, now)
return { "done" }
