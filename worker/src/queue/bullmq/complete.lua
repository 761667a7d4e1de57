-- Ends an entry with a result.
--   ARGV     id, token, now in ms, the result as JSON, and of the ended ones: how many to keep (-1: all), how old in ms
--            they may be (-1: any age), how many of the older ones go at once
--   answers  done | refused, code

local id, token, now, returnvalue = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local count, age, limit = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local key = base .. id

local hash = redis.call("HMGET", key, "atm", "attemptsMade", "deid", "parentKey", "parent", "ats")
if redis.call("EXISTS", key .. ":dependencies", key .. ":unsuccessful") > 0 and redis.call("EXISTS", key) == 1 then
  return { "refused", redis.call("EXISTS", key .. ":dependencies") == 1 and -4 or -9 }
end
local code = release(id, token, hash[6])
if code ~= 0 then return { "refused", code } end

local queue = switches(base)
release_deduplication(queue, id, hash[3], now)
child_completed(parent_of(hash[4], hash[5]), key, returnvalue, now)
if count == 0 then
  forget({ id })
else
  local made = count_attempt(key, hash[1], hash[2])
  redis.call("HSET", key, "atm", made, "returnvalue", returnvalue, "finishedOn", now)
  redis.call("ZADD", base .. "completed", now, id)
  trim(base .. "completed", now, count > 0 and count or nil, age >= 0 and age or nil, limit)
end
emit(queue, "completed", "jobId", id, "returnvalue", returnvalue, "prev", "active")
signal_end(queue, now)
return { "done" }
