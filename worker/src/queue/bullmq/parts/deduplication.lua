-- Entries with the same deduplication id: one holds it. Of those that came while it was at work the last may be set aside,
-- to be added when it has ended.

local function holder_key(deduplication)
  return base .. "de:" .. deduplication
end

local function next_key(deduplication)
  return base .. "dn:" .. deduplication
end

local function take_hold(entry, id)
  local key = holder_key(entry.deduplication)
  if entry.ttl > 0 and not entry.keep_last then
    redis.call("SET", key, id, "PX", entry.ttl)
  else
    redis.call("SET", key, id)
  end
end

local function is_endless(key)
  return redis.call("PTTL", key) == -1
end

-- A hold with an end of its own stays until then.
local function let_go(deduplication, id)
  local key = holder_key(deduplication)
  if redis.call("GET", key) == id and is_endless(key) then redis.call("DEL", key) end
end

local function set_aside(entry, id)
  local key = next_key(entry.deduplication)
  redis.call("DEL", key)
  redis.call("HSET", key, "name", entry.name, "data", entry.data, "opts", entry.opts, "jid", id)
  if entry.parent_key ~= "" then
    redis.call("HSET", key, "pk", entry.parent_key, "pd", entry.parent, "pdk", entry.parent_key .. ":dependencies")
  end
end

local function number(value)
  return type(value) == "number" and value >= 0 and math.floor(value) or 0
end

-- The entry that was set aside, as it is to be added now; nil when there is none. Its options stay the text that they are.
local function take_aside(deduplication, now)
  local key = next_key(deduplication)
  local found, next = redis.call("HGETALL", key), {}
  if #found == 0 then return nil end
  redis.call("DEL", key)
  for i = 1, #found, 2 do next[found[i]] = found[i + 1] end
  local opts = decoded(next.opts)
  local how = type(opts.de) == "table" and opts.de or {}
  return {
    id = next.jid or "",
    name = next.name or "",
    data = next.data or "{}",
    opts = next.opts or "{}",
    timestamp = now,
    delay = number(opts.delay),
    priority = number(opts.priority),
    lifo = opts.lifo == true,
    deduplication = deduplication,
    ttl = number(how.ttl),
    keep_last = how.keepLastIfActive,
    parent_key = next.pk or "",
    parent = next.pd or "",
    scheduler = next.rjk or "",
  }
end
