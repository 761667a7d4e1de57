-- Prolongs locks, and closes those again that ran out without anybody having taken the entry since: it is active, and was
-- not started again. Redis may have been away for longer than a lock holds.
--   ARGV     lock in ms, then id, token and how often the entry was started when it was taken, in turn, five hundred at
--            most
--   answers  lost, the ids whose lock is not the caller's

local keys = {}
for i = 2, #ARGV, 3 do keys[#keys + 1] = base .. ARGV[i] .. ":lock" end
local locks, held, lost = redis.call("MGET", unpack(keys)), {}, {}

local active
local function nobody_took(id, started)
  if not active then
    active = {}
    for _, other in ipairs(redis.call("LRANGE", base .. "active", 0, -1)) do active[other] = true end
  end
  return active[id] and integer(redis.call("HGET", base .. id, "ats")) == tonumber(started)
end

for i, key in ipairs(keys) do
  local id, token, started = ARGV[3 * i - 1], ARGV[3 * i], ARGV[3 * i + 1]
  if locks[i] == token or (not locks[i] and nobody_took(id, started)) then
    redis.call("SET", key, token, "PX", ARGV[1])
    held[#held + 1] = id
  else
    lost[#lost + 1] = id
  end
end
if #held > 0 then redis.call("SREM", base .. "stalled", unpack(held)) end
return { "lost", lost }
