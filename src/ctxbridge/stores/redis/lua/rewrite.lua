-- Put what was worked out in the place of what was read, if that is still there. KEYS: list, ids,
-- outbox, notes, what is due, what is dead, where the contact is found. ARGV: nonce, time, hash of
-- the list, how long (in milliseconds) what is remembered lasts, and as MessagePack: what is
-- expected to stand at the end of the list, what stands there then, entries to put at places,
-- entries to append; fields of ids, of the outbox and of the notes to write, and those to take away
-- (of the outbox with what they hold); members and times to list as due and as dead; members to
-- take off both; whether the contact is to be found here.
local nonce, hash, life = ARGV[1], ARGV[3], tonumber(ARGV[4])
local now = clock(tonumber(ARGV[2]))
local w = cmsgpack.unpack(ARGV[5])
local expected, final, places, entries, ids, outbox, notes, ids_gone, outbox_gone, notes_gone, due, dead, off, founds =
  w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], w[10], w[11], w[12], w[13], w[14]
local last = redis.pcall('HGET', KEYS[4], 'z')
if type(last) == 'table' then return {nonce, 'torn'} end
if last == nonce then return {nonce, 'ok'} end
local stands = redis.pcall('LRANGE', KEYS[1], -3, -1)
if stands.err then return {nonce, 'torn'} end
if #final > 0 then
  if #stands ~= #expected then return {nonce, 'again'} end
  for i, element in ipairs(expected) do
    if stands[i] ~= element then return {nonce, 'again'} end
  end
end
for _, one in ipairs(outbox_gone) do
  if redis.call('HGET', KEYS[3], one[1]) ~= one[2] then return {nonce, 'again'} end
end
local kept = {redis.pcall('HMGET', KEYS[2], 'n', 'x'), redis.pcall('HMGET', KEYS[3], 'n', 'x')}
if kept[1].err or kept[2].err then return {nonce, 'torn'} end
local refused = may_list(nonce, KEYS[5], hash) or may_list(nonce, KEYS[6], hash)
if refused then return refused end

-- What has expired must not take the place of what came anew under its name, nor of one that waits
-- for an answer: it would be taken for a duplicate of the other.
local awaited, waiting = {}, #final > 0 and unpack_head(final[1]).waiting or ''
for i = 1, #waiting, 5 do awaited[string.sub(waiting, i, i + 4)] = true end
local function is_awaited(name)
  if waiting == '' or string.sub(name, 1, 1) ~= 'm' then return false end
  local raw = redis.call('HGET', KEYS[2], name)
  return raw and #raw == 36 and struct.unpack('>I6', raw, 31) > now and awaited[string.sub(raw, 25, 29)]
end

local function living(fields)
  local left = {}
  for i = 1, #fields, 2 do
    local name, raw = fields[i], fields[i + 1]
    local lives = not string.find(name, '^[mtp]') or struct.unpack('>I6', raw, #raw - 5) > now
    if lives and not is_awaited(name) then
      left[#left + 1], left[#left + 2] = name, raw
    end
  end
  return left
end
ids, outbox = living(ids), living(outbox)

redis.call('HSET', KEYS[4], 'z', nonce)
for _, one in ipairs(notes) do redis.call('HSET', KEYS[4], one[1], one[2]) end
for _, field in ipairs(notes_gone) do redis.call('HDEL', KEYS[4], field) end
for i, held in ipairs({ids, outbox}) do
  local limit, ends = bounds(kept[i][1], kept[i][2])
  if #held > 0 then remember(KEYS[1 + i], 2, now, life, limit or 64, ends or 0, held) end
end
for _, field in ipairs(ids_gone) do redis.call('HDEL', KEYS[2], field) end
for _, one in ipairs(outbox_gone) do redis.call('HDEL', KEYS[3], one[1]) end
if #final > 0 then
  if #expected == 1 then redis.call('DEL', KEYS[1]) end
  for _, one in ipairs(places) do redis.call('LSET', KEYS[1], one[1] - 1, one[2]) end
  append(KEYS[1], #expected == 3, entries, final[1], final[2], final[3])
end
for _, member in ipairs(off) do
  redis.call('ZREM', KEYS[5], member)
  redis.call('ZREM', KEYS[6], member)
end
for i, listed in ipairs({due, dead}) do
  for _, one in ipairs(listed) do redis.call('ZADD', KEYS[4 + i], one[1], one[2]) end
end
if #final > 0 then
  local at = look_after(unpack_head(final[1]), now, 1000)
  if at > 0 then redis.call('ZADD', KEYS[5], at, hash) else redis.call('ZREM', KEYS[5], hash) end
end
if founds > 0 then redis.call('SET', KEYS[7], hash) end
redis.call('LLEN', KEYS[1])
return {nonce, 'ok'}
