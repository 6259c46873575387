-- What the scripts share: they are put behind this file. The layout of the head is told in
-- wire/format1.py; a conversation's list ends with its head, its contact and its state.
-- The server's own clock, unless the caller brings a time of its own (tests do).
local function clock(now)
  if now > 0 then return now end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Whose addresses were erased is not known any more: the flag of a head (rules/erasure.py).
local ERASED = 4

-- Whether the contact has the address: it stands in one of its links as it is packed. Of somebody
-- who was erased, all have that lead there, but for those that were parted before (by their hash).
local function is_of(contact, h, address, hash)
  if string.find(contact, hash, 21, true) then return false end
  return bit.band(h.flags, ERASED) > 0 or string.find(contact, address, 21, true) ~= nil
end

-- The end of a list: head, contact, state; or the name of what is there instead.
local function tail_of(key)
  local tail = redis.pcall('LRANGE', key, -3, -1)
  if tail.err then return nil, 'torn' end
  if #tail == 0 then return nil, 'none' end
  if #tail == 1 then return tail[1], 'moved' end
  if #tail == 2 or #tail[1] < 136 then return nil, 'torn' end
  if string.byte(tail[1]) ~= 1 or string.byte(tail[2]) ~= 1 then return nil, 'format' end
  local high, low = string.byte(tail[1], 135, 136)
  local backlog = high * 256 + low
  if #tail[1] ~= 136 + backlog or backlog % 5 > 0 then return nil, 'torn' end
  return tail, 'home'
end

local function unpack_head(raw)
  local h = {}
  h.assurance, h.flags, h.seq, h.revision, h.fence, h.lease, h.epoch, h.consent, h.conversation, h.turn =
    struct.unpack('>BBI8I8I8I8I8c8c16c16', raw, 4)
  h.first, h.middle, h.trace, h.waiting =
    string.sub(raw, 1, 3), string.sub(raw, 86, 109), string.sub(raw, 110, 134), string.sub(raw, 137)
  return h
end

local function pack_head(h)
  return h.first .. struct.pack('>BBI8I8I8I8I8', h.assurance, h.flags, h.seq, h.revision, h.fence, h.lease, h.epoch)
    .. h.consent .. h.conversation .. h.turn .. h.middle .. h.trace .. struct.pack('>I2', #h.waiting) .. h.waiting
end

local function new_head(conversation)
  return {
    first = '\1\0\0', assurance = 0, flags = 0, seq = 0, revision = 0, fence = 0, lease = 0, epoch = 0,
    consent = string.rep('\0', 8), conversation = conversation, turn = string.rep('\0', 16),
    middle = string.rep('\0', 24), trace = string.rep('\0', 25), waiting = '',
  }
end

-- The backlog, as rules/backlog.py has it: the places that wait, 5 bytes each, as far as the two
-- bytes of its length go.
local function waits(h, place)
  if #h.waiting < 65535 then h.waiting = h.waiting .. struct.pack('>I5', place) end
end

-- Take places out of the backlog; says whether any was there.
local function wait_no_more(h, places)
  if #places == 1 and h.waiting == struct.pack('>I5', places[1]) then
    h.waiting = ''
    return true
  end
  local gone, left = {}, {}
  for i = 1, #places do gone[struct.pack('>I5', places[i])] = true end
  for i = 1, #h.waiting, 5 do
    local one = string.sub(h.waiting, i, i + 4)
    if not gone[one] then left[#left + 1] = one end
  end
  local before = #h.waiting
  h.waiting = table.concat(left)
  return #h.waiting < before
end

-- The first write of a script that lists something in a sorted set, or takes it off: one that a
-- server without memory refuses (ZREM it would not), and that changes nothing where the key is
-- somebody else's. Answers what the script has to answer then. It is a write where a read would do,
-- since what is read is tracked: all processes would be told of all that comes to be due.
local function list_first(nonce, key, ...)
  local done = redis.pcall('ZADD', key, ...)
  if type(done) ~= 'table' then return nil end
  if string.find(done.err, 'WRONGTYPE', 1, true) then return {nonce, 'torn'} end
  redis.call('ZADD', key, ...) -- fails as before, in the words that releases have for it
end

-- Whether it may be written, and nothing else.
local function may_list(nonce, key, member)
  return list_first(nonce, key, 'XX', 'GT', 0, member)
end

-- List `member` under a time, or for 0 take it off; the first write.
local function list_at(nonce, key, member, at)
  if at > 0 then return list_first(nonce, key, at, member) end
  local refused = may_list(nonce, key, member)
  if not refused then redis.call('ZREM', key, member) end
  return refused
end

-- When somebody should look after the turn, as rules/backlog.py has it; 0 for never.
local function look_after(h, now, retry)
  return h.lease > 0 and h.lease or (#h.waiting > 0 and now + retry or 0)
end

-- Whether nothing stands where a new contact is to be found.
local function unclaimed(pointer)
  return redis.pcall('GET', pointer) == false
end

-- Whether the list holds all entries that its head counts.
local function whole(key, h)
  return redis.call('LLEN', key) == h.seq + 3
end

-- Put entries before the head, and head, contact and state anew behind them. Something that a
-- server without memory refuses must have been written before: it lets nothing be taken away then.
local function append(key, had, entries, head, contact, state)
  if had then redis.call('LTRIM', key, 0, -4) end
  local n = #entries
  entries[n + 1], entries[n + 2], entries[n + 3] = head, contact, state
  for i = 1, n + 3, 1000 do
    redis.call('RPUSH', key, unpack(entries, i, math.min(i + 999, n + 3)))
  end
end

-- The tenant's control, if it is newer than `known`; else empty, and nothing where it is none. Its
-- epoch alone is read first: with many halts in it all of it would be copied for each turn. A user
-- who lacks the right to that reads all of it.
local function newer_control(key, known)
  local epoch = redis.pcall('GETRANGE', key, 0, 7)
  if type(epoch) == 'table' then epoch = redis.pcall('GET', key) or '' end
  if epoch == '' then return '' end
  if type(epoch) == 'table' or #epoch < 8 then return nil end
  return struct.unpack('>I8', epoch) > known and redis.call('GET', key) or ''
end

-- Memory of ids and of answers, and the outbox: two hashes for each conversation. Fields with a
-- time: 'm' and an id, 't' and a turn; 'd' and a delivery, 'p' and a provider's id. Beside them
-- 'l' who holds the lease, 'w' who wrote last without a turn, 's' whose outbox it is, 'n' at how
-- many fields to look for what has expired, 'x' when the key itself ends. What counts is the time
-- at the end of each field.
local function answer_in(raw, now)
  if not raw then return nil end
  local a = {}
  a.first, a.count, a.revision, a.fence, a.ends = struct.unpack('>I5I2I5I5I6', raw)
  if a.ends <= now then return nil end
  return a
end

local function forget(key, now)
  local all, gone = redis.call('HGETALL', key), {}
  for i = 1, #all, 2 do
    local timed = string.find(all[i], '^[mtdp]') and #all[i + 1] > 5
    if timed and struct.unpack('>I6', all[i + 1], #all[i + 1] - 5) <= now then
      gone[#gone + 1] = all[i]
    end
  end
  for i = 1, #gone, 1000 do
    redis.call('HDEL', key, unpack(gone, i, math.min(i + 999, #gone)))
  end
  redis.call('HSET', key, 'n', math.max(64, (#all / 2 - #gone) * 2))
end

-- What 'n' and 'x' say; nothing where they are no numbers.
local function bounds(n, x)
  n, x = tonumber(n or 64), tonumber(x or 0)
  return n and x and n, x
end

-- Remember fields for `life` milliseconds. It is a write that a server without memory refuses, so
-- it may be the first of its script. The key outlives its fields by a day, and is told so twice a
-- day. Every 32nd `count` it is looked whether much has expired.
local function remember(key, count, now, life, limit, ends, fields)
  for i = 1, #fields, 1000 do
    redis.call('HSET', key, unpack(fields, i, math.min(i + 999, #fields)))
  end
  if ends < now + life + 43200000 then
    redis.call('HSET', key, 'x', now + life + 86400000)
    redis.call('PEXPIRE', key, life + 86400000)
  end
  if count % 32 < 2 and redis.call('HLEN', key) >= limit then forget(key, now) end
end

