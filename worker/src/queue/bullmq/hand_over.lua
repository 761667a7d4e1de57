-- Replaces the locks of a worker.
--   ARGV     lock in ms, now in ms, what its locks begin with (nothing: none of them); then three lists, each led by its
--            length: ids and tokens in turn that are the caller's now; ids to leave alone; tokens to leave alone
--   answers  handed, the caller's ids, those given back, how many of its locks were left alone because of their ids

local duration, now, prefix = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local at = 4
-- Where the next list begins and ends.
local function list()
  local first, last = at + 1, at + tonumber(ARGV[at])
  at = last + 1
  return first, last
end

local function set()
  local found, first, last = {}, list()
  for i = first, last do found[ARGV[i]] = true end
  return found
end

local mine = {}
do
  local first, last = list()
  for i = first, last, 2 do mine[ARGV[i]] = ARGV[i + 1] end
end
local leave = set()
local spare = set()

-- The locks of all active entries, in portions that one call can take.
local function locks_of(ids)
  local locks = {}
  for first = 1, #ids, 500 do
    local keys = {}
    for i = first, math.min(first + 499, #ids) do keys[#keys + 1] = base .. ids[i] .. ":lock" end
    for _, lock in ipairs(redis.call("MGET", unpack(keys))) do locks[#locks + 1] = lock end
  end
  return locks
end

local function give_back(queue, id)
  leave_active(id)
  put_back(queue, id, priority_of(queue, id))
end

local queue = queue_at(base)
local ids = redis.call("LRANGE", base .. "active", 0, -1)
local locks = locks_of(ids)
local ours, given_back, left = {}, {}, 0
-- From the newest on: the oldest is the last one that is put before the others.
for i, id in ipairs(ids) do
  local lock, token = locks[i], mine[id]
  local theirs = lock and prefix ~= "" and string.sub(lock, 1, #prefix) == prefix
  if token and (theirs or not lock or lock == token) then
    redis.call("SET", base .. id .. ":lock", token, "PX", duration)
    redis.call("SREM", base .. "stalled", id)
    ours[#ours + 1] = id
  elseif theirs and leave[id] then
    left = left + 1
  elseif theirs and not spare[lock] then
    give_back(queue, id)
    given_back[#given_back + 1] = id
  end
end
if #given_back > 0 then signal(queue, now) end
return { "handed", ours, given_back, left }
