-- The end of a holder's right to an entry.

-- Opens the lock too; false, and nothing is changed, when it is not active.
local function leave_active(id)
  if redis.call("LREM", base .. "active", -1, id) == 0 then return false end
  redis.call("DEL", base .. id .. ":lock")
  redis.call("SREM", base .. "stalled", id)
  return true
end

-- Takes an entry out of `active` for whoever has its lock, and opens the lock. Nothing is changed when this is refused:
-- -1 there is no such entry, -2 it has no lock, -3 it is not active, -6 the lock is somebody else's; 0 when done. `there`
-- is any field of the entry, when one has been read.
local function release(id, token, there)
  local key = base .. id
  if not there and redis.call("EXISTS", key) == 0 then return -1 end
  local lock = redis.call("GET", key .. ":lock")
  if not lock then return -2 end
  if lock ~= token then return -6 end
  return leave_active(id) and 0 or -3
end

-- One attempt more; what it is now. Readers prefer the older field, which would stand still.
local function count_attempt(key, atm, older)
  local made = (integer(older) or integer(atm) or 0) + 1
  if older then redis.call("HDEL", key, "attemptsMade") end
  return made
end
