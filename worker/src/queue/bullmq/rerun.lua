-- Lets an entry that has ended run again, if it is this job's: counters begin anew with a queue, so a number may be
-- another job's by now.
--   ARGV     entry, job
--   answers  again; there (it has not ended); none

local data = redis.call("HGET", base .. ARGV[1], "data")
if not data or job_of(data) ~= ARGV[2] then
  return { "none" }
end
if reprocess(queue_at(base), ARGV[1]) then
  return { "again" }
end
return { "there" }
