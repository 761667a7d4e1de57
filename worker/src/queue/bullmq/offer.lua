-- Makes sure that an entry with a custom id runs.
--   ARGV     the fields of parts/store.lua; the time in ms by which an entry must have ended to run again
--   answers  added; again (it had ended); found (it was in no list, and is now); there

-- Lists longer than this are not looked through: the entry counts as being there.
local LONGEST = 20000

local function listed(list, id)
  local length = redis.call("LLEN", list)
  if length > LONGEST then
    return true
  end
  for first = 0, length - 1, 1000 do
    for _, other in ipairs(redis.call("LRANGE", list, first, first + 999)) do
      if other == id then
        return true
      end
    end
  end
  return false
end

local function somewhere(id)
  for _, set in ipairs({ "delayed", "prioritized", "waiting-children" }) do
    if redis.call("ZSCORE", base .. set, id) then
      return true
    end
  end
  return listed(base .. "active", id) or listed(base .. "wait", id) or listed(base .. "paused", id)
end

local queue = conditions()
local entry = entry_of(ARGV, 1)
if redis.call("EXISTS", base .. entry.id) == 0 then
  redis.call("INCR", base .. "id")
  store(queue, entry, entry.id)
  return { "added" }
end
local ended = redis.call("ZSCORE", base .. "completed", entry.id) or redis.call("ZSCORE", base .. "failed", entry.id)
if ended then
  -- An end that came after the look that led to this offer is nobody's wish to run again.
  if tonumber(ended) <= tonumber(ARGV[#ARGV]) and reprocess(queue, entry.id) then
    return { "again" }
  end
  return { "there" }
end
if somewhere(entry.id) then
  return { "there" }
end
local priority = redis.call("HGET", base .. entry.id, "priority")
place_waiting(queue, entry.id, integer(priority) or 0, false, false)
return { "found" }
