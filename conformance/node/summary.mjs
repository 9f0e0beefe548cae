// A last line for whoever only wants to know: how many tests passed and failed.

export default async function* summary(events) {
  const count = { 'test:pass': 0, 'test:fail': 0 }
  for await (const { type, data } of events) {
    // A suite and a file are events too; only tests count. A file that could not even be read is one without tests.
    const unread = type === 'test:fail' && data.nesting === 0 && data.details?.type !== 'suite'
    if (data?.details?.type !== 'suite' && type in count && (data.nesting > 0 || unread)) count[type] += 1
  }
  yield `${count['test:pass']} passed, ${count['test:fail']} failed\n`
}
