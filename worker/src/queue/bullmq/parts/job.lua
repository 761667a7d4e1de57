-- The job that a payload names; a number is taken as its text. Nil when it names none.
local function job_of(payload)
  local job = type(payload) == "table" and payload.jobId
  if type(job) == "string" then
    return job
  end
  if type(job) == "number" and job % 1 == 0 then
    return string.format("%.0f", job)
  end
  return nil
end
