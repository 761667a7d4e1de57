-- Lets an entry be tried again, behind the others or when its delay is over. The attempt counts.
--   ARGV     id, token, now in ms, delay in ms, how much of it is over in ms, the reason, the stack traces as JSON, 1 for
--            last in first out
--   answers  done | refused, code

local id, token, now, delay, over = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local reason, stacktrace, lifo = ARGV[6], ARGV[7], ARGV[8] == "1"
local key = base .. id

local hash = redis.call("HMGET", key, "atm", "attemptsMade", "priority", "ats")
local code = release(id, token, hash[4])
if code ~= 0 then return { "refused", code } end

local queue = queue_at(base)
local made = count_attempt(key, hash[1], hash[2])
if delay > over then
  redis.call("HSET", key, "atm", made, "failedReason", reason, "stacktrace", stacktrace, "delay", delay)
  postpone_until(queue, id, now + delay - over)
else
  redis.call("HSET", key, "atm", made, "failedReason", reason, "stacktrace", stacktrace)
  -- What became due meanwhile was there first.
  promote(queue, now)
  enqueue(queue, id, integer(hash[3]) or 0, lifo, "active")
end
signal(queue, now)
return { "done" }
