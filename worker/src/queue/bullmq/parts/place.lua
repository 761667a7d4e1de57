-- Puts entries where workers find them, tells the listeners, and wakes a worker.
local base = KEYS[1]

-- Text of a whole number; nil for any other. Other programs write these fields, and arithmetic on what is none of them
-- would end a script half way.
local function integer(text)
  return text and string.match(text, "^%-?%d+$") and tonumber(text) or nil
end

-- What holds for the whole queue now.
local function conditions()
  local meta = redis.call("HMGET", base .. "meta", "opts.maxLenEvents", "paused", "concurrency", "version")
  if not meta[1] then
    redis.call("HSETNX", base .. "meta", "opts.maxLenEvents", "10000")
  end
  local queue = { events = integer(meta[1]) or 10000, paused = meta[2] ~= false, wait = base .. "wait" }
  local most = integer(meta[3])
  queue.halted = queue.paused or (most ~= nil and redis.call("LLEN", base .. "active") >= most)
  -- An older worker keeps what waits in another list while it is paused, and overwrites `wait` when it goes on.
  if queue.paused then
    local older = string.sub(meta[4] or "", 1, 8) == "bullmq:5"
    if older or redis.call("EXISTS", base .. "paused") == 1 then
      queue.wait = base .. "paused"
    end
  end
  return queue
end

local function tell(queue, ...)
  redis.call("XADD", base .. "events", "MAXLEN", "~", queue.events, "*", "event", ...)
end

local function whole(number)
  return string.format("%.0f", number)
end

-- `prev` is where it comes from; false for a new one.
local function place_waiting(queue, id, priority, lifo, prev)
  if priority > 0 then
    local counter = redis.call("INCR", base .. "pc")
    redis.call("ZADD", base .. "prioritized", whole(priority * 4294967296 + counter % 4294967296), id)
  elseif lifo then
    redis.call("RPUSH", queue.wait, id)
  else
    redis.call("LPUSH", queue.wait, id)
  end
  if not queue.halted then
    redis.call("ZADD", base .. "marker", 0, "0")
  end
  if prev then
    tell(queue, "waiting", "jobId", id, "prev", prev)
  else
    tell(queue, "waiting", "jobId", id)
  end
end

-- Entries due in the same millisecond keep their order: the twelve lowest bits of the score count them.
local function place_delayed(queue, id, due)
  local first, last = due * 4096, due * 4096 + 4095
  local score = first
  local latest = redis.call("ZREVRANGEBYSCORE", base .. "delayed", whole(last), whole(first), "WITHSCORES", "LIMIT", 0, 1)
  if latest[2] then
    score = math.min(tonumber(latest[2]) + 1, last)
  end
  redis.call("ZADD", base .. "delayed", whole(score), id)
  tell(queue, "delayed", "jobId", id, "delay", whole(due))
  local earliest = redis.call("ZRANGE", base .. "delayed", 0, 0, "WITHSCORES")
  redis.call("ZADD", base .. "marker", whole(math.floor(tonumber(earliest[2]) / 4096)), "1")
end
