-- Brings back the entries that were active at the last check and whose lock has run out since, and marks those that are
-- active now. One check an interval, whoever comes first.
--   ARGV     now in ms, interval in ms, how often an entry may stall
--   answers  stalled, ids

local now, interval, most = ARGV[1], ARGV[2], tonumber(ARGV[3])

if not redis.call("SET", base .. "stalled-check", now, "PX", interval, "NX") then return { "stalled", {} } end
local queue = queue_at(base)
redis.call("XTRIM", base .. "events", "MAXLEN", "~", queue.events)

-- An entry that stalls too often is not failed here but by the next worker that takes it, which has its parents and its
-- retries to see to. A scheduler's entry is spared: its next iteration hangs on it.
local function count_stall(id)
  local key = base .. id
  local fields = redis.call("HMGET", key, "stc", "rjk")
  local stalls = (integer(fields[1]) or 0) + 1
  redis.call("HSET", key, "stc", stalls)
  if stalls > most and not (fields[2] and redis.call("ZSCORE", base .. "repeat", fields[2])) then
    redis.call("HSET", key, "defa", "job stalled more than allowable limit")
  end
end

local stalled = {}
for _, id in ipairs(redis.call("SMEMBERS", base .. "stalled")) do
  if redis.call("EXISTS", base .. id .. ":lock") == 0 and redis.call("LREM", base .. "active", 1, id) > 0
    and redis.call("EXISTS", base .. id) == 1 then
    count_stall(id)
    -- To the front of all, whatever its priority.
    put_back(queue, id, 0)
    emit(queue, "stalled", "jobId", id)
    stalled[#stalled + 1] = id
  end
end
redis.call("DEL", base .. "stalled")
local active = redis.call("LRANGE", base .. "active", 0, -1)
for first = 1, #active, 1000 do
  redis.call("SADD", base .. "stalled", unpack(active, first, math.min(first + 999, #active)))
end
if #stalled > 0 then signal(queue, tonumber(now)) end
return { "stalled", stalled }
