import { expect, test } from 'vitest'
import { ago, block, bounded, bytes, cost, count, duration, exact, hourly, line, money, percent, rate, shortId } from './format'

const plain = (s: string) => s.replaceAll('\u00a0', ' ')

test.each([[0, '0'], [812, '812'], [999, '999'], [1000, '1.00 k'], [12_400, '12.4 k'], [124_000, '124 k'], [999_499, '999 k'], [999_500, '1.00 M'], [1_900_000, '1.90 M'], [3.4e9, '3.40 G'], [Number.NaN, '–']])('count %s', (n, want) => {
  expect(plain(count(n))).toBe(want)
})

test.each([[0, '0 ms'], [0.4, '0.4 ms'], [340, '340 ms'], [999.6, '1.00 s'], [1240, '1.24 s'], [12_400, '12.4 s'], [59_949, '59.9 s'], [59_950, '1 m 00 s'], [192_000, '3 m 12 s'], [3_599_499, '59 m 59 s'], [3_600_000, '1 h 00 m'], [7_500_000, '2 h 05 m'], [273_600_000, '3 d 4 h'], [-1240, '−1.24 s']])('duration %s', (ms, want) => {
  expect(plain(duration(ms))).toBe(want)
})

test.each([[1000, 'now'], [-11_000, '12 s ago'], [-59_000, '1 m ago'], [-3_599_000, '1 h ago'], [-86_400_000, '1 d ago'], [4000, 'in 3 s']])('ago %s ms', (at, want) => {
  expect(plain(ago(1e9 + at, 1e9 + 1000))).toBe(want)
})

test('a time that is not known reads as none', () => {
  expect(ago(0, 1000)).toBe('–')
  expect(exact(Number.POSITIVE_INFINITY)).toBe('–')
})

test.each([[0, 'exact', '$0.00'], [31_200_000, 'exact', '$0.0312'], [3.41e9, 'lower_bound', '≥ $3.41'], [14.2e9, 'estimated', '≈ $14.20'], [1204e9, 'exact', '$1,204'], [10_000, 'exact', '< $0.0001'], [-5e9, 'exact', '−$5.00']] as const)('money %s %s', (n, quality, want) => {
  expect(plain(money(n, quality))).toBe(want)
})

test('no price is not no cost', () => {
  expect(cost(0, 'lower_bound', 500)).toBe('unpriced')
  expect(cost(0, 'exact', 0)).toBe('$0.00')
  expect(cost(3.41e9, 'exact', 500)).toBe('$3.41')
})

test('units', () => {
  expect(plain(hourly(14.2e9))).toBe('$14.20/h')
  expect(plain(hourly(1e6))).toBe('< $0.01/h')
  expect(plain(bytes(312))).toBe('312 B')
  expect(plain(bytes(12_400))).toBe('12.4 kB')
  expect(plain(bytes(1.52e12))).toBe('1.52 TB')
  expect(plain(percent(0.014))).toBe('1.4 %')
  expect(plain(percent(0.31))).toBe('31 %')
  expect(plain(rate(262.3, 's'))).toBe('262/s')
  expect(plain(rate(1_900_000, 'h'))).toBe('1.90 M/h')
  expect(plain(bounded('5', 'lower_bound'))).toBe('≥ 5')
})

test('foreign text keeps to one line, without controls and direction tricks', () => {
  expect(line('a\nb\tc\u0000\u202edx')).toBe('a b c\ufffd\ufffddx')
  expect(line('x'.repeat(50), 10)).toBe('x'.repeat(9) + '…')
  expect(line('x'.repeat(1e6), 10)).toHaveLength(10)
  expect(block('a\r\nb\u2066c')).toBe('a\nb\ufffdc')
})

test('a long id keeps what tells it apart', () => {
  expect(shortId('w-17')).toBe('w-17')
  expect(shortId('0f8fad5b-d9cb-469f-a165-70867728950e')).toBe('0f8fad5b')
  expect(shortId('0f8fad5b-d9cb-469f-a165-70867728950e.a7c88b9')).toBe('0f8fad5b.a7c88b9')
  expect(shortId('a-very-long-name-of-an-agent')).toHaveLength(14)
})
