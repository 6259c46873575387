-- What the scripts share: they are put behind this file. The layout of the head is told in
-- wire/format1.py; a conversation's list ends with its head, its contact and its state.
-- The server's own clock, unless the caller brings a time of its own (tests do).
local function clock(now)
  if now > 0 then return now end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The end of a list: head, contact, state; or the name of what is there instead.
local function tail_of(key)
  local tail = redis.pcall('LRANGE', key, -3, -1)
  if tail.err then return nil, 'torn' end
  if #tail == 0 then return nil, 'none' end
  if #tail == 1 then return tail[1], 'moved' end
  if #tail == 2 or #tail[1] < 136 then return nil, 'torn' end
  if string.byte(tail[1]) ~= 1 or string.byte(tail[2]) ~= 1 then return nil, 'format' end
  return tail, 'home'
end

local function unpack_head(raw)
  local h = {}
  h.assurance, h.flags, h.seq, h.revision, h.fence, h.lease, h.epoch, h.consent, h.conversation, h.turn =
    struct.unpack('>BBI8I8I8I8I8c8c16c16', raw, 4)
  h.first, h.middle, h.trace, h.rest =
    string.sub(raw, 1, 3), string.sub(raw, 86, 109), string.sub(raw, 110, 134), string.sub(raw, 135)
  return h
end

local function pack_head(h)
  return h.first .. struct.pack('>BBI8I8I8I8I8', h.assurance, h.flags, h.seq, h.revision, h.fence, h.lease, h.epoch)
    .. h.consent .. h.conversation .. h.turn .. h.middle .. h.trace .. h.rest
end

local function new_head(conversation)
  return {
    first = '\1\0\0', assurance = 0, flags = 0, seq = 0, revision = 0, fence = 0, lease = 0, epoch = 0,
    consent = string.rep('\0', 8), conversation = conversation, turn = string.rep('\0', 16),
    middle = string.rep('\0', 24), trace = string.rep('\0', 25), rest = '\0\0',
  }
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

-- Memory of ids and of answers, one hash for each conversation: fields 'm' and an id, 't' and a
-- turn, 'l' who holds the lease, 'n' at how many fields to look for what has expired, 'x' when the
-- key itself ends. What counts is the time inside each field.
local function answer_in(raw, now)
  if not raw then return nil end
  local a = {}
  a.first, a.count, a.revision, a.fence, a.ends = struct.unpack('>I5I2I5I5I6', raw)
  if a.ends <= now then return nil end
  return a
end

local function forget(ids, now)
  local all, gone = redis.call('HGETALL', ids), {}
  for i = 1, #all, 2 do
    local kind = string.sub(all[i], 1, 1)
    local timed = (kind == 'm' or kind == 't') and #all[i + 1] > 5
    if timed and struct.unpack('>I6', all[i + 1], #all[i + 1] - 5) <= now then
      gone[#gone + 1] = all[i]
    end
  end
  for i = 1, #gone, 1000 do
    redis.call('HDEL', ids, unpack(gone, i, math.min(i + 999, #gone)))
  end
  redis.call('HSET', ids, 'n', math.max(64, (#all / 2 - #gone) * 2))
end

-- What 'n' and 'x' say; nothing where they are no numbers.
local function bounds(n, x)
  n, x = tonumber(n or 64), tonumber(x or 0)
  return n and x and n, x
end

-- Remember fields for `life` milliseconds. This is the first write of its script, and one that a
-- server without memory refuses: so nothing is ever half applied. The key outlives them by a day,
-- and is told so twice a day. Every 32nd entry it is looked whether much has expired.
local function remember(ids, seq, now, life, limit, ends, ...)
  redis.call('HSET', ids, ...)
  if ends < now + life + 43200000 then
    redis.call('HSET', ids, 'x', now + life + 86400000)
    redis.call('PEXPIRE', ids, life + 86400000)
  end
  if seq % 32 < 2 and redis.call('HLEN', ids) >= limit then forget(ids, now) end
end

