-- A queue as a whole: its switches, its rate limit, its stream of events, the signal that wakes workers.
local base = KEYS[1]

-- Text of a whole number; nil for any other. Other programs write these fields, and arithmetic on what is none of them
-- would end a script half way.
local function integer(text)
  return text and string.match(text, "^%-?%d+$") and tonumber(text) or nil
end

local function switches(of)
  local meta = redis.call("HMGET", of .. "meta", "paused", "concurrency", "max", "duration", "opts.maxLenEvents", "version")
  return {
    base = of,
    paused = meta[1] ~= false,
    concurrency = integer(meta[2]),
    max = integer(meta[3]),
    duration = integer(meta[4]),
    events = integer(meta[5]) or 10000,
    version = meta[6] or "",
    unset = not meta[5],
  }
end

local function maxed(queue)
  return queue.concurrency ~= nil and redis.call("LLEN", queue.base .. "active") >= queue.concurrency
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

-- Where entries wait. BullMQ 5 keeps them in a list of its own while the queue is paused and overwrites `wait` with it
-- when it goes on: what was put into `wait` in between would be gone.
local function waiting_list(queue)
  if queue.paused
    and (string.sub(queue.version, 1, 8) == "bullmq:5" or redis.call("EXISTS", queue.base .. "paused") == 1) then
    return queue.base .. "paused"
  end
  return queue.base .. "wait"
end

-- Whoever tells of something on a queue whose stream has no length yet sets it. Whoever tells of nothing does not: a
-- queue that was removed would come back.
local function emit(queue, event, ...)
  if queue.unset then
    redis.call("HSETNX", queue.base .. "meta", "opts.maxLenEvents", "10000")
    queue.unset = false
  end
  redis.call("XADD", queue.base .. "events", "MAXLEN", "~", queue.events, "*", "event", event, ...)
end

-- When the first delayed entry is due, in ms; nil when there is none.
local function first_due(of)
  local first = redis.call("ZRANGE", of .. "delayed", 0, 0, "WITHSCORES")
  return first[2] and math.floor(tonumber(first[2]) / 4096)
end

-- Leaves the signal that is right, so that nobody waits in vain for work that is there: one for work that can be taken
-- now, else one for the time when there will be some. Without `now` none for the end of a rate limit: whoever puts a
-- signal back has just seen that limit and would only find its own signal again. True when nothing waits and nothing is
-- delayed.
local function signal(queue, now)
  local marker = queue.base .. "marker"
  local waits = redis.call("LLEN", queue.base .. "wait") > 0 or redis.call("ZCARD", queue.base .. "prioritized") > 0
  if queue.paused or maxed(queue) then return false end
  local left = limited(queue)
  if left then
    if waits and now then redis.call("ZADD", marker, now + left, "1") end
    return false
  end
  if waits then
    redis.call("ZADD", marker, 0, "0")
    return false
  end
  local due = first_due(queue.base)
  if due then redis.call("ZADD", marker, due, "1") end
  return not due
end

-- The signal after an entry has ended, and the event that the last one is followed by.
local function signal_end(queue, now)
  if signal(queue, now) and redis.call("LLEN", queue.base .. "active") == 0 then emit(queue, "drained") end
end
