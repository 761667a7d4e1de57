-- How many ended entries stay to be looked at.

-- All keys of entries. In portions, because a call takes no more than some thousand arguments.
local function forget(ids)
  local keys = {}
  for i, id in ipairs(ids) do
    local key = base .. id
    for _, suffix in ipairs({ "", ":logs", ":dependencies", ":processed", ":failed", ":unsuccessful" }) do
      keys[#keys + 1] = key .. suffix
    end
    if i % 500 == 0 or i == #ids then
      redis.call("DEL", unpack(keys))
      keys = {}
    end
  end
end

local function drop(set, ids)
  if #ids == 0 then return end
  forget(ids)
  redis.call("ZREM", set, unpack(ids))
end

-- Lets the oldest go: those older than `age` ms, then all but the newest `count`; either may be nil. A thousand at most
-- each time, so that a queue that has kept a million does not stop for it.
local function trim(set, now, count, age, limit)
  if age then drop(set, redis.call("ZRANGEBYSCORE", set, "-inf", now - age, "LIMIT", 0, limit)) end
  if count then
    local surplus = math.min(redis.call("ZCARD", set) - count, 1000)
    if surplus > 0 then drop(set, redis.call("ZRANGE", set, 0, surplus - 1)) end
  end
end
