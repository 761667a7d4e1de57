-- An entry as it is now.
--   ARGV     id
--   answers  entry, id, its fields and values | gone

local fields = redis.pcall("HGETALL", base .. ARGV[1])
if fields.err or #fields == 0 then return { "gone" } end
return { "entry", ARGV[1], fields }
