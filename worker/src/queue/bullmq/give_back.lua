-- Puts an entry back to where it was taken from. No attempt is counted, and none as stalled.
--   ARGV     id, token, now in ms
--   answers  done | refused, code

local code = release(ARGV[1], ARGV[2])
if code ~= 0 then return { "refused", code } end

local queue = queue_at(base)
put_back(queue, ARGV[1], priority_of(queue, ARGV[1]))
signal(queue, tonumber(ARGV[3]))
return { "done" }
