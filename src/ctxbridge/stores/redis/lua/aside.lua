-- Set a conversation aside and leave a forward in its place, put it back, or let go of it. KEYS:
-- list, ids, outbox, notes, the same four aside, what is due, what is dead. ARGV: nonce, what to do,
-- hash of the list, forward with its journal, then to set it aside the head and the contact that are
-- expected, to put it back what is listed as due and as dead (MessagePack: pairs of a time and a
-- member each), and to let go of it the forward that stays. Nobody is set aside from whom something
-- is being parted: of that only the notes here know.
local nonce, does, hash, forward = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local tail, what = tail_of(KEYS[1])
if what == 'torn' or what == 'format' then return {nonce, what} end

if does == 'drop' then
  if what == 'moved' and tail == forward then
    redis.call('LSET', KEYS[1], 0, ARGV[5])
    redis.call('DEL', unpack(KEYS, 5, 8))
    redis.call('LLEN', KEYS[1])
  end
  return {nonce, 'ok'}
end

-- Asked before the first write: what is somebody else's would stop the script in the middle.
local there = {}
for i = 1, 8 do
  there[i] = redis.pcall(i % 4 == 1 and 'LLEN' or 'HLEN', KEYS[i])
  if type(there[i]) == 'table' then return {nonce, 'torn'} end
end

local function rename(from, to)
  for i = 1, 4 do
    if there[from + i] > 0 then redis.call('RENAME', KEYS[from + i], KEYS[to + i]) end
  end
end

if does == 'back' then
  if what ~= 'moved' or tail ~= forward then return {nonce, 'ok'} end
  if there[5] == 0 then return {nonce, 'torn'} end
  local lists = cmsgpack.unpack(ARGV[5])
  for i = 1, 2 do
    local refused = may_list(nonce, KEYS[8 + i], hash)
    if refused then return refused end
  end
  redis.call('DEL', KEYS[1])
  rename(4, 0)
  for i = 1, 2 do
    for _, one in ipairs(lists[i]) do redis.call('ZADD', KEYS[8 + i], one[1], one[2]) end
  end
  redis.call('LLEN', KEYS[1])
  return {nonce, 'ok'}
end

if what == 'moved' and tail == forward then return {nonce, 'ok'} end
if what ~= 'home' then return {nonce, 'again'} end
if tail[1] ~= ARGV[5] or tail[2] ~= ARGV[6] then return {nonce, 'again'} end
if not whole(KEYS[1], unpack_head(tail[1])) then return {nonce, 'torn'} end
if there[5] + there[6] + there[7] + there[8] > 0 then return {nonce, 'torn'} end
local kept, notes = redis.call('HGETALL', KEYS[3]), redis.call('HGETALL', KEYS[4])
for i = 1, #notes, 2 do
  if #notes[i] == 17 and string.sub(notes[i], 1, 1) == '>' then return {nonce, 'parting'} end
end
local refused = may_list(nonce, KEYS[9], hash) or may_list(nonce, KEYS[10], hash)
if refused then return refused end
redis.call('ZREM', KEYS[9], hash)
for i = 1, #kept, 2 do
  if #kept[i] == 17 and string.sub(kept[i], 1, 1) == 'd' then
    redis.call('ZREM', KEYS[9], hash .. string.sub(kept[i], 2))
    redis.call('ZREM', KEYS[10], hash .. string.sub(kept[i], 2))
  end
end
rename(0, 4)
redis.call('RPUSH', KEYS[1], forward)
redis.call('LLEN', KEYS[1])
return {nonce, 'ok'}
