-- Adds entries one after the other; what becomes of one does not touch the others.
--   ARGV     the fields of parts/store.lua for each entry
--   answers  done, then for each entry what became of it and the id: new, before, no-parent, other-parent

local queue

-- An entry with a custom id that is there already stays as it is.
local function found(entry, id)
  if entry.parent_key ~= "" then
    local parent = redis.call("HGET", base .. id, "parentKey")
    if parent and parent ~= entry.parent_key and redis.call("EXISTS", parent) == 1 then
      return "other-parent"
    end
  end
  tell(queue, "duplicated", "jobId", id)
  return "before"
end

local function add(entry)
  if entry.parent_key ~= "" and redis.call("EXISTS", entry.parent_key) == 0 then
    return "no-parent", entry.id
  end
  queue = queue or conditions()
  local counter = redis.call("INCR", base .. "id")
  local id = entry.id
  if id == "" then
    id = whole(counter)
  elseif redis.call("EXISTS", base .. id) == 1 then
    return found(entry, id), id
  end
  if entry.deduplication ~= "" then
    local holder = holder_of(queue, entry, id)
    if holder then
      return "before", holder
    end
  end
  store(queue, entry, id)
  return "new", id
end

local answer = { "done" }
for first = 1, #ARGV, FIELDS do
  local what, id = add(entry_of(ARGV, first))
  answer[#answer + 1] = what
  answer[#answer + 1] = id
end
return answer
