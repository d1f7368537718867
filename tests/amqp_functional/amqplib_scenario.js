// What amqplib, the AMQP client of Node, does with a broker: node amqplib_scenario.js URL QUEUE.
// Prints one line of JSON with what it saw; an error event ends it with status 1.
const amqp = require("amqplib");

const [url, queue] = process.argv.slice(2);
const COUNT = 200, PREFETCH = 10, BODY = Buffer.alloc(10_000), MANY = 5_000;
const seen = {};

async function publish() {
  const connection = await amqp.connect(url);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue(queue, {durable: true});
  let confirmed = 0;
  for (let number = 0; number < COUNT; number++) {
    channel.sendToQueue(queue, Buffer.from(String(number)), {persistent: true}, error => { if (!error) confirmed++; });
  }
  const returned = new Promise(resolve => channel.once("return", message => resolve(message.fields.replyText)));
  channel.publish("", queue + "-nowhere", Buffer.from("x"), {mandatory: true});
  await channel.waitForConfirms();
  Object.assign(seen, {confirmed, returned: await returned});
  await connection.close();
}

async function consume() {
  const connection = await amqp.connect(url);
  const channel = await connection.createChannel();
  await channel.prefetch(PREFETCH);
  const numbers = [], unacked = [];
  let most = 0;
  await new Promise(async resolve => {
    const acknowledge = () => { while (unacked.length) channel.ack(unacked.shift()); };
    await channel.consume(queue, message => {
      numbers.push(Number(message.content.toString()));
      unacked.push(message);
      most = Math.max(most, unacked.length);
      if (numbers.length === COUNT) { acknowledge(); resolve(); }
      else if (unacked.length === PREFETCH) setTimeout(acknowledge, 5);  // more would come meanwhile
    });
  });
  const {messageCount} = await channel.checkQueue(queue);
  Object.assign(seen, {inOrder: numbers.every((number, at) => number === at), most, messageCount});
  await channel.close();
  await connection.close();
}

async function closeWithAFullBuffer() {
  const connection = await amqp.connect(url);
  const errors = [];
  connection.on("error", error => errors.push(String(error)));
  const channel = await connection.createChannel();
  channel.on("error", error => errors.push(String(error)));
  const closed = new Promise(resolve => connection.once("close", resolve));
  setImmediate(() => {  // comes before amqplib begins to write what is published below
    connection.close();
    for (const end = Date.now() + 100; Date.now() < end;);  // busy, and the broker has time for its CloseOk
  });
  let full = false;
  for (let number = 0; number < MANY; number++) full = !channel.publish("", queue + "-nowhere", BODY) || full;
  await closed;
  Object.assign(seen, {full, errors});
}

(async () => {
  await publish();
  await consume();
  await closeWithAFullBuffer();
  console.log(JSON.stringify(seen));
})().catch(error => { console.error(error); process.exit(1); });
