-- What the end of an entry means for those that were held back because of it.

local function decoded(text)
  local read, value = pcall(cjson.decode, text or "")
  return read and type(value) == "table" and value or {}
end

local function number(value)
  return type(value) == "number" and value >= 0 and math.floor(value) or 0
end

-- The entry that was asked for while the last one was at work. Its options stay the text that they are.
local function add_next(queue, held, next, now)
  local opts = decoded(next.opts)
  local counter = redis.call("INCR", base .. "id")
  local id = next.jid and next.jid ~= "" and next.jid or string.format("%.0f", counter)
  local key = base .. id
  if redis.call("EXISTS", key) == 1 then
    emit(queue, "duplicated", "jobId", id)
    return
  end
  local ttl = number(type(opts.de) == "table" and not opts.de.keepLastIfActive and opts.de.ttl)
  if ttl > 0 then
    redis.call("SET", base .. "de:" .. held, id, "PX", ttl)
  else
    redis.call("SET", base .. "de:" .. held, id)
  end
  local delay, priority = number(opts.delay), number(opts.priority)
  redis.call("HSET", key, "name", next.name or "", "data", next.data or "{}", "opts", next.opts or "{}",
    "timestamp", now, "delay", delay, "priority", priority, "deid", held)
  if next.pk and next.pd then redis.call("HSET", key, "parentKey", next.pk, "parent", next.pd) end
  if next.rjk then redis.call("HSET", key, "rjk", next.rjk) end
  if next.pdk then redis.call("SADD", next.pdk, key) end
  redis.call("XADD", base .. "events", "*", "event", "added", "jobId", id, "name", next.name or "")
  if delay > 0 then
    postpone_until(queue, id, now + delay)
  else
    enqueue(queue, id, priority, opts.lifo == true, nil)
    if not queue.paused and not maxed(queue) then redis.call("ZADD", queue.base .. "marker", 0, "0") end
  end
end

-- A hold with an end of its own stays until then.
local function release_deduplication(queue, id, held, now)
  if not held then return end
  local hold = base .. "de:" .. held
  if redis.call("GET", hold) == id and redis.call("PTTL", hold) == -1 then redis.call("DEL", hold) end
  local found = redis.call("HGETALL", base .. "dn:" .. held)
  if #found == 0 then return end
  redis.call("DEL", base .. "dn:" .. held)
  local next = {}
  for i = 1, #found, 2 do next[found[i]] = found[i + 1] end
  add_next(queue, held, next, now)
end
