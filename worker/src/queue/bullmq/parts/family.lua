-- What the end of a child means for its parent, which may be in another queue.

-- Sends a parent on that waits for its children; at once, or when its own delay is over. With `fails` it may also be one
-- that waits for another attempt: it will not get it.
local function send_on(parent, now, at_once, fails)
  local queue, id = queue_at(parent.base), parent.id
  local prev = "waiting-children"
  if redis.call("ZREM", parent.base .. "waiting-children", id) == 0 then
    if not fails or redis.call("ZREM", parent.base .. "delayed", id) == 0 then return end
    prev = "delayed"
  end
  local fields = redis.call("HMGET", parent.key, "delay", "priority")
  local delay = integer(fields[1]) or 0
  if delay > 0 and not at_once then
    postpone_until(queue, id, now + delay)
    return
  end
  if delay > 0 then redis.call("HSET", parent.key, "delay", 0) end
  enqueue(queue, id, integer(fields[2]) or 0, true, prev)
  mark_waiting(queue)
end

-- Nothing when the parent did not wait for this child.
local function leave(parent, child)
  return redis.call("SREM", parent.key .. ":dependencies", child) == 1 and redis.call("EXISTS", parent.key) == 1
end

local function send_on_with_the_last(parent, now)
  if redis.call("EXISTS", parent.key .. ":dependencies") == 0 then send_on(parent, now, false) end
end

local function child_completed(parent, child, returnvalue, now)
  if not parent or not leave(parent, child) then return end
  redis.call("HSET", parent.key .. ":processed", child, returnvalue)
  send_on_with_the_last(parent, now)
end

-- A parent that asks for nothing waits for ever, as with BullMQ's own workers.
local function child_failed(parent, child, reason, now)
  if not parent then return end
  local flags = parent.flags
  if flags.fpof then
    if not leave(parent, child) then return end
    redis.call("ZADD", parent.key .. ":unsuccessful", now, child)
    redis.call("HSET", parent.key, "defa", "child " .. child .. " failed")
    send_on(parent, now, true, true)
  elseif flags.cpof then
    if not leave(parent, child) then return end
    redis.call("HSET", parent.key .. ":failed", child, reason)
    send_on(parent, now, true)
  elseif flags.idof or flags.rdof then
    if not leave(parent, child) then return end
    if flags.idof then redis.call("HSET", parent.key .. ":failed", child, reason) end
    send_on_with_the_last(parent, now)
  end
end
