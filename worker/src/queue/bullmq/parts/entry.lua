-- An entry: what others wrote of it, and its keys.

-- JSON text of an object or an array; an empty one for any other.
local function decoded(text)
  local read, value = pcall(cjson.decode, text or "")
  return read and type(value) == "table" and value or {}
end

-- A name out of JSON: text, or a whole number as its text. Nil for anything else.
local function named(value)
  if type(value) == "string" then return value end
  if type(value) == "number" and value % 1 == 0 then return whole(value) end
  return nil
end

-- The job that an entry's data names; nil when it names none.
local function job_of(data)
  return named(decoded(data).jobId)
end

-- A child's parent: what its queue's keys begin with, its id, its key, and what a failure of the child does to it.
local function parent_of(key, parent)
  if not key then return nil end
  local said = decoded(parent)
  local id, of = named(said.id), said.queueKey
  if not id or type(of) ~= "string" or of .. ":" .. id ~= key then
    of, id = string.match(key, "^(.*):([^:]*)$")
    if not of then return nil end
  end
  return { base = of .. ":", id = id, key = key, flags = said }
end

-- All keys of entries. In portions, because a call takes no more than some thousand arguments.
local function forget(ids)
  local keys = {}
  for i, id in ipairs(ids) do
    local key = base .. id
    for _, suffix in ipairs({ "", ":logs", ":dependencies", ":processed", ":failed", ":unsuccessful" }) do
      keys[#keys + 1] = key .. suffix
    end
    if i % 500 == 0 or i == #ids then
      redis.call("DEL", unpack(keys))
      keys = {}
    end
  end
end
