-- Lets an entry that has ended run again: it keeps its attempts made, so one that has none left gets one more run.
-- False when it has not ended.
local function reprocess(queue, id)
  local hash = base .. id
  for state, result in pairs({ completed = "returnvalue", failed = "failedReason" }) do
    if redis.call("ZREM", base .. state, id) == 1 then
      redis.call("HDEL", hash, "finishedOn", "processedOn", result)
      local fields = redis.call("HMGET", hash, "priority", "parentKey")
      -- A parent that has gone on does not wait for it again.
      local parent = fields[2]
      if parent and redis.call("SISMEMBER", parent .. ":dependencies", hash) == 0 then
        local queue_of, parent_id = string.match(parent, "^(.*:)([^:]*)$")
        if queue_of and redis.call("ZSCORE", queue_of .. "waiting-children", parent_id) then
          redis.call("SADD", parent .. ":dependencies", hash)
        end
      end
      enqueue(queue, id, integer(fields[1]) or 0, false, state)
      mark_waiting(queue)
      return true
    end
  end
  return false
end
