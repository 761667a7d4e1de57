-- Makes the next iteration of a scheduler, unless somebody did.
--   ARGV     scheduler, the time of the iteration before, the time of the next, the fields of parts/store.lua
--   answers  made; there (the entry was there before); moved (the scheduler is gone, or goes on already)

local scheduler, before, after = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local entry = entry_of(ARGV, 4)
local time = tonumber(redis.call("ZSCORE", base .. "repeat", scheduler) or "")
if time ~= before then
  return { "moved" }
end
local queue = queue_at(base)
if redis.call("EXISTS", base .. entry.id) == 1 then
  emit(queue, "duplicated", "jobId", entry.id)
  return { "there" }
end
redis.call("ZADD", base .. "repeat", after, scheduler)
redis.call("HINCRBY", base .. "repeat:" .. scheduler, "ic", 1)
next_number()
store(queue, entry, entry.id)
return { "made" }
