-- Where an entry is that has not ended. BullMQ 5 moves those in `wait` to `paused` while the queue is paused.
local LISTS = { "wait", "paused", "active" }
local SETS = { "delayed", "prioritized", "waiting-children" }

-- Whether an entry is in a list, which is read in portions.
local function listed(list, id)
  for first = 0, redis.call("LLEN", base .. list) - 1, 1000 do
    for _, other in ipairs(redis.call("LRANGE", base .. list, first, first + 999)) do
      if other == id then return true end
    end
  end
  return false
end
