-- The marker that wakes workers: member 0 for work that can be taken now, member 1 with the time when there will be some.

-- When the first delayed entry is due, in ms; nil when there is none.
local function first_due(queue)
  local first = redis.call("ZRANGE", queue.base .. "delayed", 0, 0, "WITHSCORES")
  return first[2] and math.floor(tonumber(first[2]) / 4096)
end

local function mark_work(queue)
  redis.call("ZADD", queue.base .. "marker", 0, "0")
end

local function mark_time(queue, time)
  redis.call("ZADD", queue.base .. "marker", time, "1")
end

-- For an entry that was put where it waits.
local function mark_waiting(queue)
  if not halted(queue) then mark_work(queue) end
end

-- Milliseconds until the rate limit allows another entry; nil when it does now.
local function limited(queue)
  if not queue.max then return nil end
  local key = queue.base .. "limiter"
  if (integer(redis.call("GET", key)) or 0) < queue.max then return nil end
  local left = redis.call("PTTL", key)
  if left > 0 then return left end
  redis.call("DEL", key)
  return nil
end

-- Leaves the signal that is right, so that nobody waits in vain for work that is there: one for work that can be taken
-- now, else one for the time when there will be some. Without `now` none for the end of a rate limit: whoever puts a
-- signal back has just seen that limit and would only find its own signal again. True when nothing waits and nothing is
-- delayed.
local function signal(queue, now)
  local waits = redis.call("LLEN", queue.base .. "wait") > 0 or redis.call("ZCARD", queue.base .. "prioritized") > 0
  if halted(queue) then return false end
  local left = limited(queue)
  if left then
    if waits and now then mark_time(queue, now + left) end
    return false
  end
  if waits then
    mark_work(queue)
    return false
  end
  local due = first_due(queue)
  if due then mark_time(queue, due) end
  return not due
end

-- The signal after an entry has ended, and the event that the last one is followed by.
local function signal_end(queue, now)
  if signal(queue, now) and redis.call("LLEN", queue.base .. "active") == 0 then emit(queue, "drained") end
end
