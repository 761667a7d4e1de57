-- A scheduler: when its next iteration is, and what it makes.
--   ARGV     scheduler
--   answers  none; found, the time, then its hash's fields and values

local time = redis.call("ZSCORE", base .. "repeat", ARGV[1])
if not time then
  return { "none" }
end
local answer = { "found", time }
for _, text in ipairs(redis.call("HGETALL", base .. "repeat:" .. ARGV[1])) do
  answer[#answer + 1] = text
end
return answer
