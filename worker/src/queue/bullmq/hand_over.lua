-- Replaces the locks of a worker, in a part of `active` that is counted from its old end.
--   ARGV     lock in ms, now in ms, what its locks begin with (nothing: none of them), from where, how many to look at; then three
--            lists, each led by its length: ids and tokens in turn that are the caller's now; ids to leave alone; tokens
--            to leave alone
--   answers  handed, the caller's ids, those given back | the same and from where to go on

local duration, now, prefix = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local from, size = tonumber(ARGV[4]), tonumber(ARGV[5])

local at = 6
local function list()
  local length, first = tonumber(ARGV[at]), at
  at = at + length + 1
  return first, first + length
end

local function set()
  local found, first, last = {}, list()
  for i = first + 1, last do found[ARGV[i]] = true end
  return found
end

local mine = {}
do
  local first, last = list()
  for i = first + 1, last, 2 do mine[ARGV[i]] = ARGV[i + 1] end
end
local leave = set()
local spare = set()

local ids = redis.call("LRANGE", base .. "active", -from - size, -from - 1)
if #ids == 0 then return { "handed", {}, {} } end
local keys = {}
for i, id in ipairs(ids) do keys[i] = base .. id .. ":lock" end
local locks = redis.call("MGET", unpack(keys))

local queue = switches(base)
local ours, given_back = {}, {}
for i, id in ipairs(ids) do
  local lock, token = locks[i], mine[id]
  local theirs = lock and prefix ~= "" and string.sub(lock, 1, #prefix) == prefix
  if token and (theirs or not lock or lock == token) then
    redis.call("SET", keys[i], token, "PX", duration)
    redis.call("SREM", base .. "stalled", id)
    ours[#ours + 1] = id
  elseif theirs and not leave[id] and not spare[lock] and redis.call("LREM", base .. "active", -1, id) == 1 then
    redis.call("DEL", keys[i])
    redis.call("SREM", base .. "stalled", id)
    local priority = redis.call("HGET", base .. id, "priority")
    put_back(queue, id, integer(priority) or 0)
    given_back[#given_back + 1] = id
  end
end
if #given_back > 0 then signal(queue, now) end
return { "handed", ours, given_back, from + size - #given_back }
