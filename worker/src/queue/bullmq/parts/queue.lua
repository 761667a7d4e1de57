-- A queue as a whole: its settings, the list where entries wait, its stream of events.
local base = KEYS[1]

-- Text of a whole number; nil for any other. Other programs write these fields, and arithmetic on what is none of them
-- would end a script half way.
local function integer(text)
  return text and string.match(text, "^%-?%d+$") and tonumber(text) or nil
end

-- A number as part of a text: Lua itself writes a long one with an exponent.
local function whole(number)
  return string.format("%.0f", number)
end

-- The queue whose keys begin like this, as its settings are now.
local function queue_at(of)
  local meta = redis.call("HMGET", of .. "meta", "paused", "concurrency", "max", "duration", "opts.maxLenEvents", "version")
  return {
    base = of,
    paused = meta[1] ~= false,
    concurrency = integer(meta[2]),
    max = integer(meta[3]),
    duration = integer(meta[4]),
    events = integer(meta[5]) or 10000,
    unset = not meta[5],
    version = meta[6] or "",
  }
end

-- Whether nothing is to be taken: it is paused, or as many entries as it allows are active.
local function halted(queue)
  return queue.paused
    or (queue.concurrency ~= nil and redis.call("LLEN", queue.base .. "active") >= queue.concurrency)
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
