-- Makes sure that an entry with a custom id runs.
--   ARGV     the fields of parts/store.lua; the time in ms by which an entry must have ended to run again
--   answers  added; again (it had ended); found (it was in no list, and is now); there

-- Lists longer than this are not looked through: the entry counts as being there.
local LONGEST = 20000

local function somewhere(id)
  for _, set in ipairs(SETS) do
    if redis.call("ZSCORE", base .. set, id) then return true end
  end
  for _, list in ipairs(LISTS) do
    if redis.call("LLEN", base .. list) > LONGEST or listed(list, id) then return true end
  end
  return false
end

local queue = queue_at(base)
local entry = entry_of(ARGV, 1)
if redis.call("EXISTS", base .. entry.id) == 0 then
  next_number()
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
enqueue(queue, entry.id, priority_of(queue, entry.id), false, nil)
mark_waiting(queue)
return { "found" }
