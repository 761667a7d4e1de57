-- The end of an entry: who follows it, and how many ended ones stay to be looked at.

-- Lets go of the deduplication id that an entry holds, and adds the one that was held back because of it.
local function release_deduplication(queue, id, held, now)
  if not held then return end
  let_go(held, id)
  local entry = take_aside(held, now)
  if not entry then return end
  local number = next_number()
  local next = entry.id ~= "" and entry.id or number
  if redis.call("EXISTS", base .. next) == 1 then
    emit(queue, "duplicated", "jobId", next)
    return
  end
  take_hold(entry, next)
  store(queue, entry, next)
end

local function drop(set, ids)
  if #ids == 0 then return end
  forget(ids)
  redis.call("ZREM", set, unpack(ids))
end

-- Lets the oldest go: those that the rule calls too old, then all but the newest that it asks for. A thousand at most each
-- time, so that a queue that has kept a million does not stop for it.
local function trim(set, now, rule)
  if rule.age >= 0 then drop(set, redis.call("ZRANGEBYSCORE", set, "-inf", now - rule.age, "LIMIT", 0, rule.limit)) end
  if rule.count > 0 then
    local surplus = math.min(redis.call("ZCARD", set) - rule.count, 1000)
    if surplus > 0 then drop(set, redis.call("ZRANGE", set, 0, surplus - 1)) end
  end
end

-- How many ended entries stay, from arguments: how many to keep (-1: all), how old in ms they may be (-1: any age), how
-- many of the older ones go at once.
local function rule_of(first)
  return { count = tonumber(ARGV[first]), age = tonumber(ARGV[first + 1]), limit = tonumber(ARGV[first + 2]) }
end

-- Keeps an entry among the `completed` or the `failed`, with the fields that it ended with, as the rule has it.
local function keep(state, id, now, rule, ...)
  if rule.count == 0 then
    forget({ id })
    return
  end
  redis.call("HSET", base .. id, "finishedOn", now, ...)
  redis.call("ZADD", base .. state, now, id)
  trim(base .. state, now, rule)
end
