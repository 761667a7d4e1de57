-- Writes how far an entry has come, and a line of its log.
--   ARGV     id, how far as JSON, the line, how many lines to keep (0: all)
--   answers  done | gone

local id, key, kept = ARGV[1], base .. ARGV[1], tonumber(ARGV[4])
if redis.call("EXISTS", key) == 0 then return { "gone" } end
redis.call("HSET", key, "progress", ARGV[2])
emit(queue_at(base), "progress", "jobId", id, "data", ARGV[2])
redis.call("RPUSH", key .. ":logs", ARGV[3])
if kept > 0 then redis.call("LTRIM", key .. ":logs", -kept, -1) end
return { "done" }
