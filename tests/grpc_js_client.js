// Orders as JSON on stdin, placed with @grpc/grpc-js: node grpc_js_client.js FILE.proto TARGET PACKAGE; what came back on stdout.
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [file, target, name] = process.argv.slice(2);
const found = grpc.loadPackageDefinition(loader.loadSync(file, { longs: Number }));
const shop = name.split(".").reduce((place, part) => place[part], found);
const orders = new shop.Orders(target, grpc.credentials.createInsecure());
const place = (order) =>
  new Promise((done) => orders.Place(order, (error, reply) => done(error ? grpc.status[error.code] : reply)));

async function main() {
  const wanted = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const replies = [];
  for (const order of wanted) replies.push(await place(order));
  console.log(JSON.stringify(replies));
  orders.close();
}
main();
