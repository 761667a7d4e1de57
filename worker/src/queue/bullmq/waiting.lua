-- The ids of all entries that have not ended, as of one moment.
--   ARGV     the most of them
--   answers  more (there are more than that); ids, then each

local count = 0
for _, list in ipairs(LISTS) do
  count = count + redis.call("LLEN", base .. list)
end
for _, set in ipairs(SETS) do
  count = count + redis.call("ZCARD", base .. set)
end
if count > tonumber(ARGV[1]) then
  return { "more" }
end
local answer = { "ids" }
for _, list in ipairs(LISTS) do
  for _, id in ipairs(redis.call("LRANGE", base .. list, 0, -1)) do
    answer[#answer + 1] = id
  end
end
for _, set in ipairs(SETS) do
  for _, id in ipairs(redis.call("ZRANGE", base .. set, 0, -1)) do
    answer[#answer + 1] = id
  end
end
return answer
