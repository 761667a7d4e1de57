-- Prolongs locks.
--   ARGV     lock in ms, then id and token in turn, five hundred pairs at most
--   answers  lost, the ids whose lock is not the caller's

local keys = {}
for i = 2, #ARGV, 2 do keys[#keys + 1] = base .. ARGV[i] .. ":lock" end
local locks, held, lost = redis.call("MGET", unpack(keys)), {}, {}
for i, key in ipairs(keys) do
  if locks[i] == ARGV[2 * i + 1] then
    redis.call("PEXPIRE", key, ARGV[1])
    held[#held + 1] = ARGV[2 * i]
  else
    lost[#lost + 1] = ARGV[2 * i]
  end
end
if #held > 0 then redis.call("SREM", base .. "stalled", unpack(held)) end
return { "lost", lost }
