-- A new entry as its arguments say it, and its hash.
local FIELDS = 16

local function entry_of(arguments, first)
  return {
    id = arguments[first],
    name = arguments[first + 1],
    data = arguments[first + 2],
    opts = arguments[first + 3],
    timestamp = tonumber(arguments[first + 4]),
    delay = tonumber(arguments[first + 5]),
    priority = tonumber(arguments[first + 6]),
    lifo = arguments[first + 7] == "1",
    deduplication = arguments[first + 8],
    ttl = tonumber(arguments[first + 9]),
    extend = arguments[first + 10] == "1",
    replace = arguments[first + 11] == "1",
    keep_last = arguments[first + 12] == "1",
    parent_key = arguments[first + 13],
    parent = arguments[first + 14],
    scheduler = arguments[first + 15],
  }
end

-- The queue's next number, which every addition uses up: an entry without an id of its own has it.
local function next_number()
  return whole(redis.call("INCR", base .. "id"))
end

-- Puts a new entry where it waits, tells of it and gives the signal.
local function store(queue, entry, id)
  local fields = {
    "name", entry.name, "data", entry.data, "opts", entry.opts, "timestamp", entry.timestamp, "delay", entry.delay,
    "priority", entry.priority,
  }
  local function also(name, value)
    if value ~= "" then
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
  end
  also("parentKey", entry.parent_key)
  also("parent", entry.parent)
  also("rjk", entry.scheduler)
  also("deid", entry.deduplication)
  redis.call("HSET", base .. id, unpack(fields))
  redis.call("XADD", base .. "events", "*", "event", "added", "jobId", id, "name", entry.name)
  if entry.delay > 0 then
    postpone_until(queue, id, entry.timestamp + entry.delay)
  else
    enqueue(queue, id, entry.priority, entry.lifo, nil)
    mark_waiting(queue)
  end
  if entry.parent_key ~= "" then redis.call("SADD", entry.parent_key .. ":dependencies", base .. id) end
end
