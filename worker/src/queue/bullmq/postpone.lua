-- Lets an entry come back after a while, as if it had been added with a delay. No attempt is counted.
--   ARGV     id, token, now in ms, delay in ms, how much of it is over in ms
--   answers  done | refused, code

local id, token, now, delay, over = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local code = release(id, token)
if code ~= 0 then return { "refused", code } end

local queue = queue_at(base)
redis.call("HSET", base .. id, "delay", delay)
postpone_until(queue, id, now + math.max(delay - over, 0))
signal(queue, now)
return { "done" }
