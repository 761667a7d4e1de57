-- The jobs that entries name in their data.
--   ARGV     ids of entries
--   answers  read, how many of the ids were looked at, then the jobs

-- Others wait while this reads: a call looks at no more than this many bytes of data, but at one entry at least.
local MOST = 1048576

local answer = { "read", 0 }
local bytes = 0
for looked, id in ipairs(ARGV) do
  bytes = bytes + redis.call("HSTRLEN", base .. id, "data")
  if bytes > MOST and looked > 1 then
    break
  end
  local job = job_of(redis.call("HGET", base .. id, "data"))
  if job then
    answer[#answer + 1] = job
  end
  answer[2] = looked
end
return answer
