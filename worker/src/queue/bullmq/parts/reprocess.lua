-- Lets an entry that has ended run again: it keeps its attempts made, so one that has none left gets one more run.
-- False when it has not ended.
local function reprocess(queue, id)
  local hash = base .. id
  for state, result in pairs({ completed = "returnvalue", failed = "failedReason" }) do
    if redis.call("ZREM", base .. state, id) == 1 then
      redis.call("HDEL", hash, "finishedOn", "processedOn", result)
      local fields = redis.call("HMGET", hash, "priority", "opts", "parentKey", "parent")
      local parent = parent_of(fields[3], fields[4])
      -- A parent that has gone on does not wait for it again.
      if parent and redis.call("ZSCORE", parent.base .. "waiting-children", parent.id) then
        redis.call("SADD", parent.key .. ":dependencies", hash)
      end
      enqueue(queue, id, integer(fields[1]) or 0, decoded(fields[2]).lifo == true, state)
      mark_waiting(queue)
      return true
    end
  end
  return false
end
