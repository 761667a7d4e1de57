-- Puts entries where they wait to be taken, in the order that their priority and their time give them.

local function priority_of(queue, id)
  return integer(redis.call("HGET", queue.base .. id, "priority")) or 0
end

-- The counter keeps the order of those with the same priority.
local function prioritize(queue, id, priority, counter)
  redis.call("ZADD", queue.base .. "prioritized", priority * 4294967296 + counter % 4294967296, id)
end

-- Behind the others of its kind, or, with `first`, before them. `prev` is where it comes from; nil for a new one. Gives no
-- signal.
local function enqueue(queue, id, priority, first, prev)
  if priority > 0 then
    prioritize(queue, id, priority, redis.call("INCR", queue.base .. "pc"))
  else
    redis.call(first and "RPUSH" or "LPUSH", waiting_list(queue), id)
  end
  if prev then
    emit(queue, "waiting", "jobId", id, "prev", prev)
  else
    emit(queue, "waiting", "jobId", id)
  end
end

-- Back to the front: nobody has overtaken it. Gives no signal.
local function put_back(queue, id, priority)
  if priority > 0 then
    prioritize(queue, id, priority, 0)
  else
    redis.call("RPUSH", waiting_list(queue), id)
  end
  emit(queue, "waiting", "jobId", id, "prev", "active")
end

-- The lowest twelve bits of a score number the entries that are due in the same millisecond, so that they keep their
-- order.
local function postpone_until(queue, id, due)
  local delayed, first, last = queue.base .. "delayed", due * 4096, due * 4096 + 4095
  local newest = redis.call("ZREVRANGEBYSCORE", delayed, last, first, "WITHSCORES", "LIMIT", 0, 1)
  local score = newest[2] and math.min(tonumber(newest[2]) + 1, last) or first
  redis.call("ZADD", delayed, score, id)
  emit(queue, "delayed", "jobId", id, "delay", due)
  mark_time(queue, first_due(queue))
end

-- Moves what is due out of `delayed`, a thousand at most.
local function promote(queue, now)
  local delayed = queue.base .. "delayed"
  local due = redis.call("ZRANGEBYSCORE", delayed, 0, (now + 1) * 4096 - 1, "LIMIT", 0, 1000)
  if #due == 0 then return end
  redis.call("ZREM", delayed, unpack(due))
  for _, id in ipairs(due) do
    local key = queue.base .. id
    local priority = redis.call("HGET", key, "priority")
    enqueue(queue, id, integer(priority) or 0, false, "delayed")
    -- An entry that was removed has no hash, and must not get one.
    if priority then redis.call("HSET", key, "delay", 0) end
  end
  mark_waiting(queue)
end
