import assert from 'node:assert/strict'
import {describe, test} from 'node:test'
import {awsRegionOf, signV4} from './aws.ts'

// The examples of docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
describe('an AWS signature', () => {
  const vectors = [
    ['/test.txt', {Range: 'bytes=0-9'}, 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41'],
    ['/?lifecycle', {}, 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
    ['/?max-keys=2&prefix=J', {}, '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'],
  ] as const
  for (const [path, headers, signature] of vectors) {
    test(`of ${path} is the documented one`, () => {
      const signed = signV4({
        date: new Date('2013-05-24T00:00:00Z'),
        headers,
        keys: {accessKeyID: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'},
        method: 'GET',
        region: 'us-east-1',
        url: new URL(path, 'https://examplebucket.s3.amazonaws.com'),
      })
      assert.equal(signed.Authorization?.split('Signature=')[1], signature)
      assert.equal(signed['X-Amz-Date'], '20130524T000000Z')
    })
  }

  test('does not depend on how a path or a query is written', () => {
    const sign = (url: string) =>
      signV4({date: new Date(0), keys: {accessKeyID: 'a', secretAccessKey: 'b'}, method: 'GET', region: 'r', url: new URL(url)})
        .Authorization
    assert.equal(sign('https://h/a%7eb!?z=%2F&a'), sign('https://h/a~b%21?a=&z=/'))
  })
})

describe('the region of a host', () => {
  const regions = {
    'bucket.s3-eu-west-1.amazonaws.com': 'eu-west-1',
    'bucket.s3.amazonaws.com': 'us-east-1',
    'bucket.s3.cn-north-1.amazonaws.com.cn': 'us-east-1',
    'bucket.s3.eu-central-1.amazonaws.com': 'eu-central-1',
    'bucket.s3.eu-central-1.amazonaws.com:443': 'eu-central-1',
    'example.com': 'us-east-1',
    'localhost:9000': 'us-east-1',
    'S3-External-1.amazonaws.com': 'us-east-1',
    's3.eu-west-1.amazonaws.com': 'us-east-1',
    'www.other.example.com': 'us-east-1',
  }
  for (const [host, region] of Object.entries(regions)) test(`${host} is ${region}`, () => assert.equal(awsRegionOf(host), region))
})
