-- Counts what is in which state.
--   answers  counts, then wait, paused, active, delayed, prioritized, waiting-children, completed, failed, whether paused
local base = KEYS[1]
local answer = { "counts" }
for _, list in ipairs({ "wait", "paused", "active" }) do
  answer[#answer + 1] = redis.call("LLEN", base .. list)
end
for _, set in ipairs({ "delayed", "prioritized", "waiting-children", "completed", "failed" }) do
  answer[#answer + 1] = redis.call("ZCARD", base .. set)
end
answer[#answer + 1] = redis.call("HEXISTS", base .. "meta", "paused")
return answer
