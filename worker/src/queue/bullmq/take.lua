-- Moves what is due out of `delayed`, then the next entry to `active`, locked.
--   ARGV     token, lock in ms, now in ms, the worker's name or nothing
--   answers  entry, id, its fields and values | nothing | nothing, ms until it is worth another try

local token, lock, now, name = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]

local function next_id()
  local id
  repeat
    id = redis.call("RPOPLPUSH", base .. "wait", base .. "active")
    -- Such an id is no entry but a marker of older versions.
    local marker = id and string.sub(id, 1, 2) == "0:"
    if marker then redis.call("LREM", base .. "active", 1, id) end
  until not marker
  if id then return id end
  local first = redis.call("ZPOPMIN", base .. "prioritized")
  if first[1] then
    redis.call("LPUSH", base .. "active", first[1])
    return first[1]
  end
  redis.call("DEL", base .. "pc")
  return nil
end

-- An id that names something else than an entry would come back for ever and hold up all others.
local function next_entry()
  while true do
    local id = next_id()
    if not id then return nil end
    local fields = redis.pcall("HGETALL", base .. id)
    if not fields.err then return id, fields end
    redis.call("LREM", base .. "active", 1, id)
  end
end

local function begin(queue, id, fields)
  local started, deferred = 0, false
  for i = 1, #fields, 2 do
    if fields[i] == "ats" then started = integer(fields[i + 1]) or 0 end
    if fields[i] == "defa" then deferred = true end
  end
  -- What is failed unrun does not count against the limit.
  if queue.max and not deferred and redis.call("INCR", base .. "limiter") == 1 then
    redis.call("PEXPIRE", base .. "limiter", math.abs(queue.duration or 0))
  end
  redis.call("SET", base .. id .. ":lock", token, "PX", lock)
  redis.call("XADD", base .. "events", "*", "event", "active", "jobId", id, "prev", "waiting")
  if name ~= "" then
    redis.call("HSET", base .. id, "processedOn", now, "ats", started + 1, "pb", name)
  else
    redis.call("HSET", base .. id, "processedOn", now, "ats", started + 1)
  end
  -- Whoever is woken by it looks for the next one: wake-ups chain until nothing is left.
  mark_work(queue)
  fields[#fields + 1] = "ats"
  fields[#fields + 1] = whole(started + 1)
  return { "entry", id, fields }
end

local queue = queue_at(base)
promote(queue, now)
local left = limited(queue)
if left then return { "nothing", left } end
if halted(queue) then return { "nothing" } end
local id, fields = next_entry()
if id then return begin(queue, id, fields) end
local due = first_due(queue)
if due then return { "nothing", math.max(due - now, 0) } end
return { "nothing" }
