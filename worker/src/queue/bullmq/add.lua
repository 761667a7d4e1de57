-- Adds entries one after the other; what becomes of one does not touch the others.
--   ARGV     the fields of parts/store.lua for each entry
--   answers  done, then for each entry what became of it and the id: new, before, no-parent, other-parent

local queue

-- Takes the place of a delayed holder; false when it is not delayed, or a flow's child, whose parent counts on it.
local function replace(holder)
  if redis.call("HEXISTS", base .. holder, "parentKey") == 1 or redis.call("ZREM", base .. "delayed", holder) == 0 then
    return false
  end
  forget({ holder })
  emit(queue, "removed", "jobId", holder, "prev", "delayed")
  return true
end

-- The id of the entry that holds this one's deduplication id; nil when this one does now.
local function holder_of(entry, id)
  local deduplication = entry.deduplication
  local key = holder_key(deduplication)
  local holder = redis.call("GET", key)
  -- A hold without an end whose entry is gone would turn everybody away for ever.
  if not holder or (is_endless(key) and redis.call("EXISTS", base .. holder) == 0) then
    take_hold(entry, id)
    return nil
  end
  if entry.replace then
    if not replace(holder) then return holder end
    take_hold(entry, id)
    emit(queue, "deduplicated", "jobId", id, "deduplicationId", deduplication, "deduplicatedJobId", holder)
    return nil
  end
  if entry.keep_last and listed("active", holder) then set_aside(entry, id) end
  if entry.extend and entry.ttl > 0 then redis.call("PEXPIRE", key, entry.ttl) end
  emit(queue, "deduplicated", "jobId", holder, "deduplicationId", deduplication, "deduplicatedJobId", id)
  return holder
end

-- An entry with a custom id that is there already stays as it is.
local function found(entry, id)
  if entry.parent_key ~= "" then
    local parent = redis.call("HGET", base .. id, "parentKey")
    if parent and parent ~= entry.parent_key and redis.call("EXISTS", parent) == 1 then
      return "other-parent"
    end
  end
  emit(queue, "duplicated", "jobId", id)
  return "before"
end

local function add(entry)
  if entry.parent_key ~= "" and redis.call("EXISTS", entry.parent_key) == 0 then
    return "no-parent", entry.id
  end
  queue = queue or queue_at(base)
  local number = next_number()
  local id = entry.id
  if id == "" then
    id = number
  elseif redis.call("EXISTS", base .. id) == 1 then
    return found(entry, id), id
  end
  if entry.deduplication ~= "" then
    local holder = holder_of(entry, id)
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
