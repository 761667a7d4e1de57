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
