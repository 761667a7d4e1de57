-- Counts what could be taken.
--   ARGV     most, now in ms
--   answers  due, how many | due, how many, ms until it is worth another look

local most, now = tonumber(ARGV[1]), tonumber(ARGV[2])

local queue = queue_at(base)
if queue.paused then return { "due", 0 } end
local left = limited(queue)
if left then return { "due", 0, left } end
if queue.max then most = math.min(most, queue.max - (integer(redis.call("GET", base .. "limiter")) or 0)) end
if queue.concurrency then most = math.min(most, queue.concurrency - redis.call("LLEN", base .. "active")) end
if most <= 0 then return { "due", 0 } end

local ripe = (now + 1) * 4096
local due = redis.call("LLEN", base .. "wait") + redis.call("ZCARD", base .. "prioritized")
  + redis.call("ZCOUNT", base .. "delayed", "-inf", ripe - 1)
local later = redis.call("ZRANGEBYSCORE", base .. "delayed", ripe, "+inf", "WITHSCORES", "LIMIT", 0, 1)
if later[2] then return { "due", math.min(due, most), math.floor(tonumber(later[2]) / 4096) - now } end
return { "due", math.min(due, most) }
