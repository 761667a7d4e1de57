-- Entries with the same deduplication id: the first holds it, the others are turned away.
local function take_hold(key, entry, id)
  if entry.ttl > 0 and not entry.keep_last then
    redis.call("SET", key, id, "PX", whole(entry.ttl))
  else
    redis.call("SET", key, id)
  end
end

local function is_active(id)
  for _, other in ipairs(redis.call("LRANGE", base .. "active", 0, -1)) do
    if other == id then
      return true
    end
  end
  return false
end

-- The id of the entry that holds it; nil when this one does now.
local function holder_of(queue, entry, id)
  local key = base .. "de:" .. entry.deduplication
  local holder = redis.call("GET", key)
  -- A hold without an end whose entry is gone would turn everybody away for ever.
  if not holder or (redis.call("PTTL", key) == -1 and redis.call("EXISTS", base .. holder) == 0) then
    take_hold(key, entry, id)
    return nil
  end
  if entry.replace then
    -- A flow's child stays: its parent counts on it.
    if redis.call("HEXISTS", base .. holder, "parentKey") == 1 or redis.call("ZREM", base .. "delayed", holder) == 0 then
      return holder
    end
    local hash = base .. holder
    redis.call("DEL", hash, hash .. ":logs", hash .. ":dependencies", hash .. ":processed", hash .. ":failed",
      hash .. ":unsuccessful")
    tell(queue, "removed", "jobId", holder, "prev", "delayed")
    take_hold(key, entry, id)
    tell(queue, "deduplicated", "jobId", id, "deduplicationId", entry.deduplication, "deduplicatedJobId", holder)
    return nil
  end
  if entry.keep_last and is_active(holder) then
    local next = base .. "dn:" .. entry.deduplication
    redis.call("DEL", next)
    redis.call("HMSET", next, "name", entry.name, "data", entry.data, "opts", entry.opts, "jid", id)
    if entry.parent_key ~= "" then
      redis.call("HMSET", next, "pk", entry.parent_key, "pd", entry.parent, "pdk", entry.parent_key .. ":dependencies")
    end
  end
  if entry.extend and entry.ttl > 0 then
    redis.call("PEXPIRE", key, whole(entry.ttl))
  end
  tell(queue, "deduplicated", "jobId", holder, "deduplicationId", entry.deduplication, "deduplicatedJobId", id)
  return holder
end
