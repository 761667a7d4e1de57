-- Counts what is in which state.
--   answers  counts, then wait, paused, active, delayed, prioritized, waiting-children, completed, failed, whether paused

local answer = { "counts" }
local function count(command, names)
  for _, name in ipairs(names) do
    answer[#answer + 1] = redis.call(command, base .. name)
  end
end

count("LLEN", LISTS)
count("ZCARD", SETS)
count("ZCARD", { "completed", "failed" })
answer[#answer + 1] = redis.call("HEXISTS", base .. "meta", "paused")
return answer
